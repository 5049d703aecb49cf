#ifndef FASTINIT_DISPATCH_H
#define FASTINIT_DISPATCH_H

#include "ops.h"

const fastinit_ops *fastinit_ops_in_use(void);
int fastinit_dispatch_init(void);

#endif
