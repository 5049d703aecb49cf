/* The kernels in use: dispatch.c chooses them once, and every fill asks for them here. */
#ifndef FASTINIT_DISPATCH_H
#define FASTINIT_DISPATCH_H

#include "ops.h"

/* Choose by the environment and the processor; return what fastinit_init() returns. */
int fastinit_dispatch_init(void);

const fastinit_ops *fastinit_ops_in_use(void);

#endif
