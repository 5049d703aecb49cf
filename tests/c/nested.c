/* Call a function of Python's from each thread of an OpenMP team: tests/test_faults_threads.py. */
#include <omp.h>

/* Call fill(i) for each i below count, on `threads` threads; return how many threads there were. */
int nested_calls(void (*fill)(int), int count, int threads)
{
    int came = 0;
#pragma omp parallel num_threads(threads)
    {
#pragma omp single
        came = omp_get_num_threads();
#pragma omp for schedule(static, 1)
        for (int i = 0; i < count; i++)
            fill(i);
    }
    return came;
}
