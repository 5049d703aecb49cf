/* The table of a normal between bounds: a Ziggurat of its own for each window.
 *
 * Marsaglia & Tsang, "The Ziggurat method for generating random variables", J. Stat. Softw. 5
 * (2000), issue 8, for the density f(t) = exp(-t (slope + t / 2)): t is the distance from the point
 * of the window that is nearest to 0, slope that point's own distance from 0.  A window that holds
 * 0 has two sides, all others one.
 *
 * A side is covered by layers of equal area.  Layer k has the ceiling of layer k - 1 as its floor
 * y, and is as wide as the curve is there: to width(y), where f(width(y)) = y, or to the end of the
 * side.  Its height follows from its area.  That goes on until the ceiling is 1, f's maximum, or
 * above: what lies above the curve is rejected, so the values are exact whatever the area is, and
 * the area only decides how many are rejected.  It is chosen by bisection so that the layers of
 * both sides, and one name for each tail, are not more than there are names.
 *
 * A side that goes on beyond f = 2^-10 ends there, and the rest is its tail.  It is proposed from
 * the exponential that touches f there (Robert, "Simulation of truncated normal variables", Stat.
 * Comput. 5 (1995) 121-125; Marsaglia 1964), which has less area than a layer has; its name
 * therefore accepts fewer. */
#include "window.h"

#include <math.h>

#include "fpenv.h"
#include "later_attempt.h"

/* Twice -log(2^-10). */
#define CUT 13.862943611198906

/* A float32's layer is named by the low bits of its integer, so the name is the integer's phase
 * among those that round to one float.  With a step near 512 over the golden ratio the layers of
 * one width have even phases, however many they are (bench/NOTES.md). */
enum { NAME_STEP = 317 };

/* The area of a layer is that of the box / FASTINIT_LAYERS, times a multiple of 1 / SHARE_STEPS. */
enum { SHARE_STEPS = 1 << 14 };

typedef struct {
    double slope, end;
} side;

/* Return t where f(t) = exp(-q / 2). */
static double distance(double slope, double q) { return q / (slope + sqrt(slope * slope + q)); }

/* Return how wide a layer with that floor is. */
static double width(side s, double floor)
{
    double t = floor > 0 ? distance(s.slope, 2 * minus_log(floor)) : s.end;
    return t < s.end ? t : s.end;
}

/* Return how many layers a side has, or any number greater than `most` if there are more. */
static int layers(side s, double area, int most)
{
    int n = 0;
    for (double y = 0; y < 1 && n <= most; n++)
        y += area / width(s, y);
    return n;
}

static void set_layer(fastinit_window *w, int number, double width, double inner, int below,
                      const double layer[4])
{
    const int name = number * NAME_STEP % FASTINIT_LAYERS;
    w->width_f64[name] = below ? nextafter(width, 0) : width;
    w->width_f32[name] = (float)(width * 0x1p-31);
    if (below)
        w->width_f32[name] = nextafterf(w->width_f32[name], 0);
    w->inner_f64[name] = inner;
    w->inner_f32[name] = nextafterf((float)(inner * 0x1p31), 0);
    for (int i = 0; i < 4; i++)
        w->layer[name][i] = layer[i];
}

void fastinit_window_init(fastinit_window *w, double lower, double upper)
{
    const fastinit_fpenv saved = fastinit_fpenv_enter();
    const int left = lower < 0, right = upper > 0, sides = left + right;
    /* The only side, or the right one; then the left one. */
    const double direction[2] = {right ? 1 : -1, -1};
    side s[2];
    double far[2];
    int tails = 0;

    w->start = left && right ? 0 : right ? lower : upper;
    w->slope = fabs(w->start);
    far[0] = right ? upper - w->start : w->start - lower;
    far[1] = -lower;
    const double cut = distance(w->slope, CUT);
    double box = 0;
    for (int i = 0; i < sides; i++) {
        s[i] = (side){w->slope, far[i] < cut ? far[i] : cut};
        tails += far[i] > cut;
        box += s[i].end;
    }

    int low = 0, high = 2 * SHARE_STEPS;
    const int most = FASTINIT_LAYERS - tails;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        const double area = box * (middle / (double)SHARE_STEPS / FASTINIT_LAYERS);
        int n = layers(s[0], area, most);
        if (sides == 2 && n <= most)
            n += layers(s[1], area, most);
        if (n <= most)
            high = middle;
        else
            low = middle;
    }
    const double area = box * (high / (double)SHARE_STEPS / FASTINIT_LAYERS);

    int number = 0;
    for (int i = 0; i < sides; i++) {
        double y = 0;
        for (int k = 0; y < 1; k++) {
            const double wide = width(s[i], y), height = area / wide, ceiling = y + height;
            const double inner = ceiling < 1 ? width(s[i], ceiling) / wide : 0;
            const double layer[4] = {direction[i] * wide, y, height, 0};
            set_layer(w, number++, direction[i] * wide, inner, k % 2 && wide == s[i].end, layer);
            y = ceiling;
        }
    }
    for (int i = 0; i < sides; i++)
        if (far[i] > cut) {
            const double rate = w->slope + cut;
            const double layer[4] = {direction[i] * cut, 1 / rate, area * rate * 0x1p10,
                                     far[i] - cut};
            set_layer(w, number++, 0, 0, 0, layer);
        }
    while (number < FASTINIT_LAYERS) { /* names that are always redrawn */
        const double layer[4] = {0, 2, 0, 0};
        set_layer(w, number++, 0, 0, 0, layer);
    }
    fastinit_fpenv_leave(saved);
}
