/* A stand-in for libnvidia-ml.so.1 whose power is known at every moment.
 *
 * Settings come from the environment and are read at the first nvmlInit (again after the last nvmlShutdown). Times named
 * _AT_S, _FROM_S and _UNTIL_S are absolute seconds of CLOCK_MONOTONIC. GPU i draws (1 + i) times the wave, shifted by
 * i x 13 ms; its counter ticks and power updates are shifted alike.
 *
 * STANDIN_GPUS          1 to 8, default 1
 * STANDIN_WAVE          constant:W | square:LO:HI:PERIOD[:DUTY[:PHASE_S]] (HI first) | ramp:LO:HI:PERIOD (sawtooth) |
 *                       burst:LO:HI:PERIOD:LENGTH | replay:FILE (seconds watts, held, repeated) | load:FILE (monotonic
 *                       seconds, watts; held, followed as it grows; a line may lie in the future). Default constant:100
 * STANDIN_GENERATION    PASCAL, V100, TURING, A100, ADA or H100 (default): name, architecture, power signals
 * STANDIN_COUNTER_PERIOD_S, _PHASE_S, _JITTER_S   energy counter: 0.1 (0: exact at any time), 0, 0; a tick is moved by up
 *                       to the jitter, and its value is the exact integral up to the moved time
 * STANDIN_POWER_PERIOD_S, _WINDOW_S, _PHASE_S     override the generation's; the window only that of the short signal
 * STANDIN_GAIN, STANDIN_POWER_GAIN   multiply all readings, or power alone; the truth stays
 * STANDIN_NO_COUNTER, STANDIN_NO_INSTANT, STANDIN_NO_POWER, STANDIN_NO_STATE (temperature, clocks and the like)
 * STANDIN_MODULE_ONLY   power answers in the module scope of fields 185 and 186 alone, as Grace Hopper may
 * STANDIN_RESET_AT_S    the counter restarts at 0; several by comma
 * STANDIN_STUCK_FROM_S  the counter stands still; STANDIN_NEGATIVE_AT_S: it steps back by 5 J once
 * STANDIN_FAIL_FROM_S, STANDIN_FAIL_UNTIL_S, STANDIN_FAIL_CODE (999), STANDIN_FAIL_ONLY (counter or power)
 * STANDIN_LOST_AT_S     every call on a device says that the GPU is lost
 * STANDIN_NAN, STANDIN_NAN_FROM_S    field values come as a double, not a number
 * STANDIN_MIG=i, STANDIN_UNLIKE, STANDIN_THROTTLE (bit mask), STANDIN_PIDS (by comma), STANDIN_POWER_LIMIT_W (700)
 * STANDIN_CALL_US       every call on a device busy-waits that long
 *
 * Beside NVML: standin_setup(), standin_now_s(), standin_power_w(gpu, t) and standin_energy_j(gpu, begin, end). */
#include <time.h>

#include "wave.h"

enum { OK, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = 6, TOO_SMALL, LOST = 15, UNKNOWN = 999 };
enum { COUNTER, POWER, OTHER, FIELDS };
enum { USAGE_SHORT, USAGE_MEAN };
enum { MAX_GPUS = 8, MAX_LIST = 64 };

typedef struct { int index; } Gpu;
typedef struct {
    const char *key, *name;
    unsigned arch;
    int usage, has_instant, has_average, has_mig;
    double period, window;
} Generation;

static const Generation generations[] = { /* update and averaging after Yang et al., arXiv 2312.02741 */
    {"H100", "NVIDIA H100 80GB HBM3", 9, USAGE_MEAN, 1, 1, 1, 0.1, 0.025},
    {"A100", "NVIDIA A100-SXM4-80GB", 7, USAGE_SHORT, 1, 1, 1, 0.1, 0.025},
    {"ADA", "NVIDIA GeForce RTX 4090", 8, USAGE_MEAN, 1, 1, 0, 0.1, 0.1},
    {"TURING", "NVIDIA GeForce RTX 2080 Ti", 6, USAGE_SHORT, 0, 0, 0, 0.1, 0.1},
    {"V100", "Tesla V100-SXM2-32GB", 5, USAGE_SHORT, 0, 0, 0, 0.02, 0.01},
    {"PASCAL", "Tesla P100-PCIE-16GB", 4, USAGE_SHORT, 1, 0, 0, 0.02, 0.01},
};
static const double SHIFT_S = 0.013, MEAN_WINDOW_S = 1, START_J = 1e6, STEP_BACK_J = 5;

static Gpu gpus[MAX_GPUS];
static int users, is_set_up;
static struct {
    int gpus, no_counter, no_instant, no_power, no_state, module_only, fail_code, fail_only, mig, unlike;
    int num_pids, num_resets;
    double counter_period, counter_phase, counter_jitter, power_period, power_window, power_phase, gain, power_gain;
    double stuck_from, fail_from, fail_until, lost_at, negative_at, nan_from, limit_w, call_s;
    double resets[MAX_LIST], pids[MAX_LIST];
    unsigned long long throttle;
    const Generation *generation;
} set;

static double number(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text && *text ? atof(text) : otherwise;
}

static int flag(const char *name) {
    const char *text = getenv(name);
    return text && *text && strcmp(text, "0") != 0;
}

static int list(const char *name, double *values) {
    const char *text = getenv(name);
    int count = 0;
    char *end;
    while (text && *text && count < MAX_LIST) {
        values[count++] = strtod(text, &end);
        text = *end ? end + 1 : end;
    }
    return count;
}

void standin_setup(void) {
    const char *wanted = getenv("STANDIN_GENERATION"), *wave_text = getenv("STANDIN_WAVE");
    const char *only = getenv("STANDIN_FAIL_ONLY");
    set.generation = NULL;
    for (size_t i = 0; i < sizeof generations / sizeof *generations; i++)
        if (!strcmp(generations[i].key, wanted && *wanted ? wanted : "H100")) set.generation = &generations[i];
    set.gpus = (int)number("STANDIN_GPUS", 1);
    if (!set.generation || set.gpus < 0 || set.gpus > MAX_GPUS) {
        fprintf(stderr, "stand-in NVML: STANDIN_GENERATION or STANDIN_GPUS is not known\n");
        exit(2);
    }
    wave_setup(wave_text && *wave_text ? wave_text : "constant:100");
    for (int i = 0; i < MAX_GPUS; i++) gpus[i].index = i;
    set.counter_period = number("STANDIN_COUNTER_PERIOD_S", 0.1);
    set.counter_phase = number("STANDIN_COUNTER_PHASE_S", 0);
    set.counter_jitter = fmin(number("STANDIN_COUNTER_JITTER_S", 0), 0.49 * set.counter_period);
    set.power_period = number("STANDIN_POWER_PERIOD_S", set.generation->period);
    set.power_window = number("STANDIN_POWER_WINDOW_S", set.generation->window);
    set.power_phase = number("STANDIN_POWER_PHASE_S", 0);
    set.gain = number("STANDIN_GAIN", 1);
    set.power_gain = set.gain * number("STANDIN_POWER_GAIN", 1);
    set.no_counter = flag("STANDIN_NO_COUNTER") || set.generation->arch < 5;
    set.no_instant = flag("STANDIN_NO_INSTANT");
    set.no_power = flag("STANDIN_NO_POWER");
    set.no_state = flag("STANDIN_NO_STATE");
    set.module_only = flag("STANDIN_MODULE_ONLY");
    set.stuck_from = number("STANDIN_STUCK_FROM_S", INFINITY);
    set.fail_from = number("STANDIN_FAIL_FROM_S", INFINITY);
    set.fail_until = number("STANDIN_FAIL_UNTIL_S", INFINITY);
    set.fail_code = (int)number("STANDIN_FAIL_CODE", UNKNOWN);
    set.fail_only = !only || !*only ? -1 : !strcmp(only, "counter") ? COUNTER : POWER;
    set.lost_at = number("STANDIN_LOST_AT_S", INFINITY);
    set.negative_at = number("STANDIN_NEGATIVE_AT_S", INFINITY);
    set.nan_from = flag("STANDIN_NAN") ? 0 : number("STANDIN_NAN_FROM_S", INFINITY);
    set.mig = (int)number("STANDIN_MIG", -1);
    set.unlike = flag("STANDIN_UNLIKE");
    set.throttle = (unsigned long long)number("STANDIN_THROTTLE", 0);
    set.limit_w = number("STANDIN_POWER_LIMIT_W", 700);
    set.call_s = number("STANDIN_CALL_US", 0) * 1e-6;
    set.num_resets = list("STANDIN_RESET_AT_S", set.resets);
    set.num_pids = list("STANDIN_PIDS", set.pids);
    is_set_up = 1;
}

/* The truth. */
double standin_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double energy_j(int gpu, double t) { return (gpu + 1) * wave_energy(t - gpu * SHIFT_S); }

double standin_energy_j(int gpu, double begin_s, double end_s) {
    if (!is_set_up) standin_setup();
    return energy_j(gpu, end_s) - energy_j(gpu, begin_s);
}

double standin_power_w(int gpu, double t) {
    if (!is_set_up) standin_setup();
    return (gpu + 1) * wave_power(t - gpu * SHIFT_S);
}

/* What the sensors show. */
static double tick_s(long long n, double phase) {
    uint64_t h = (uint64_t)n * 0x9E3779B97F4A7C15u; /* splitmix64: the same n gives the same shift */
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    double share = (double)((h ^ (h >> 31)) >> 11) / 9007199254740992.0;
    return phase + (double)n * set.counter_period + set.counter_jitter * (2 * share - 1);
}

static double last_tick_s(int gpu, double t) {
    if (!(set.counter_period > 0)) return t;
    double phase = set.counter_phase + gpu * SHIFT_S;
    long long n = (long long)floor((t - phase) / set.counter_period) + 1;
    while (tick_s(n, phase) > t) n--;
    return tick_s(n, phase);
}

static uint64_t counter_mj(int gpu, double now) {
    double tick = last_tick_s(gpu, fmin(now, set.stuck_from)), origin = -INFINITY;
    for (int i = 0; i < set.num_resets; i++)
        if (set.resets[i] <= fmin(now, set.stuck_from) && set.resets[i] > origin) origin = set.resets[i];
    double joules = START_J + set.gain * energy_j(gpu, tick);
    if (origin > -INFINITY) joules = tick > origin ? set.gain * (energy_j(gpu, tick) - energy_j(gpu, origin)) : 0;
    if (tick >= set.negative_at) joules -= STEP_BACK_J;
    return joules > 0 ? (uint64_t)floor(joules * 1e3) : 0;
}

static double shown_w(int gpu, double now, double window) {
    double phase = set.power_phase + gpu * SHIFT_S;
    double at = set.power_period > 0 ? phase + floor((now - phase) / set.power_period) * set.power_period : now;
    double watts = window > 0 ? (energy_j(gpu, at) - energy_j(gpu, at - window)) / window : standin_power_w(gpu, at);
    return set.power_gain * watts;
}

static unsigned power_mw(int gpu, double now, int is_mean) {
    return (unsigned)floor(shown_w(gpu, now, is_mean ? MEAN_WINDOW_S : set.power_window) * 1e3 + 0.5);
}

static int enter(Gpu *gpu, int what, double *now) {
    if (!users) return UNINITIALIZED;
    *now = standin_now_s();
    if (set.call_s > 0) {
        double until = *now + set.call_s;
        while (standin_now_s() < until) continue;
    }
    if (gpu < gpus || gpu >= gpus + set.gpus) return INVALID_ARGUMENT;
    if (*now >= set.lost_at) return LOST;
    if (what == OTHER && set.no_state) return NOT_SUPPORTED;
    if (what == FIELDS || *now < set.fail_from || *now >= set.fail_until) return OK; /* a field tells its own failure */
    return set.fail_only < 0 || set.fail_only == what ? set.fail_code : OK;
}

#include "calls.h"
