/* What the system knows of memory that was mapped by others: see fastinit.h. */
#ifndef FASTINIT_MAPPED_H
#define FASTINIT_MAPPED_H

/* Keep the children of fork() from asking for the memory of their parent; call it once. */
void fastinit_mapped_init(void);

#endif
