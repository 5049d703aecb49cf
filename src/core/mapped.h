/* Ask the system about memory that others have mapped: see fastinit.h. */
#ifndef FASTINIT_MAPPED_H
#define FASTINIT_MAPPED_H

/* Keep the children of fork() from asking for the memory of their parent; call it once. */
void fastinit_mapped_init(void);

#endif
