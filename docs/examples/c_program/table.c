/* Write a table of truncated normal values in float32 to a file: table ROWS COLUMNS FILE. */
#include <fastinit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static int is_interrupted(void) { return interrupted; }

static int fail(const char *message)
{
    fprintf(stderr, "table: %s\n", message);
    return 1;
}

int main(int count, char *arguments[])
{
    static const char name[] = "encoder/kernel";
    if (count != 4)
        return fail("the arguments are ROWS COLUMNS FILE");
    const size_t rows = strtoull(arguments[1], NULL, 10),
                 columns = strtoull(arguments[2], NULL, 10);
    if (!rows || !columns)
        return fail("ROWS and COLUMNS must be numbers from 1 on");
    const size_t n = rows * columns;
    float *table = malloc(n * sizeof *table);
    if (!table)
        return fail("too large");
    if (fastinit_init() != FASTINIT_OK)
        return fail("FASTINIT_ISA or FASTINIT_HIDE_ISA has a wrong value");

    const uint64_t seed = fastinit_derive_seed(1, name, strlen(name)), first = 0;
    const fastinit_spans whole = {&first, 1, n, 0};
    const fastinit_run run = {4, is_interrupted};
    signal(SIGINT, interrupt);
    puts("filling");
    fflush(stdout);
    if (fastinit_truncated(table, FASTINIT_F32, whole, seed, 0, 0.05, run) == FASTINIT_STOPPED)
        return fail("interrupted");

    FILE *file = fopen(arguments[3], "wb");
    if (!file || fwrite(table, sizeof *table, n, file) != n || fclose(file))
        return fail("cannot write the file");
    free(table);
    return 0;
}
