/* Fill memory with uniform values of float32, without the GIL. */
#include "fastinit_python.h"

static const fastinit_api *fastinit;

static PyObject *fill(PyObject *self, PyObject *args)
{
    Py_buffer view;
    unsigned long long seed;
    double minval, maxval;
    int threads, status;
    (void)self;
    if (!PyArg_ParseTuple(args, "w*Kddi", &view, &seed, &minval, &maxval, &threads))
        return NULL;
    const uint64_t first = 0;
    const fastinit_spans whole = {&first, 1, (size_t)view.len / sizeof(float), 0};
    const fastinit_run run = {threads, fastinit->check_signals};
    Py_BEGIN_ALLOW_THREADS;
    status = fastinit->uniform(view.buf, FASTINIT_F32, whole, seed, minval, maxval, run);
    Py_END_ALLOW_THREADS;
    PyBuffer_Release(&view);
    if (status == FASTINIT_STOPPED)
        return NULL; /* check_signals has set the exception. */
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"fill", fill, METH_VARARGS, "fill(out, seed, minval, maxval, threads)"},
    {NULL, NULL, 0, NULL},
};

static int initialize(PyObject *module)
{
    (void)module;
    fastinit = fastinit_import();
    return fastinit ? 0 : -1;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)initialize},
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "uniform_values", NULL, 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_uniform_values(void) { return PyModuleDef_Init(&definition); }
