/* Waves of power with exact integrals, for the stand-in NVML; see nvml.c for the settings.
 *
 * wave_energy(x) is the integral of the wave from its own zero to x, wave_power(x) its height. Both are closed forms, or
 * prefix sums where a file gives the steps. A `load` file is followed as it grows. */
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CONSTANT, SQUARE, RAMP, REPLAY, LOAD };

static struct {
    int kind;
    double lo, hi, period, high_s, phase;
    double *at, *watts, *sum; /* of REPLAY and LOAD: step times, heights, energy before each step */
    size_t rows, room;
    long offset; /* of LOAD: bytes of the file already read, whole lines only */
    char path[4096];
} wave;
static pthread_mutex_t wave_lock = PTHREAD_MUTEX_INITIALIZER;

static void add_row(double at, double watts) {
    if (wave.rows == wave.room) {
        wave.room = wave.room ? 2 * wave.room : 1024;
        wave.at = realloc(wave.at, wave.room * sizeof(double));
        wave.watts = realloc(wave.watts, wave.room * sizeof(double));
        wave.sum = realloc(wave.sum, wave.room * sizeof(double));
    }
    size_t i = wave.rows++;
    wave.at[i] = at;
    wave.watts[i] = watts;
    wave.sum[i] = i ? wave.sum[i - 1] + wave.watts[i - 1] * (at - wave.at[i - 1]) : 0;
}

static void read_rows(void) {
    struct stat seen;
    if (stat(wave.path, &seen) != 0 || seen.st_size <= wave.offset) return;
    FILE *file = fopen(wave.path, "r");
    if (!file) return;
    fseek(file, wave.offset, SEEK_SET);
    char line[256];
    double at, watts;
    while (fgets(line, sizeof line, file) && strchr(line, '\n')) {
        wave.offset = ftell(file);
        for (char *c = line; *c; c++) if (*c == ',') *c = ' ';
        if (sscanf(line, "%lf %lf", &at, &watts) == 2) add_row(at, watts); /* a header or comment is passed over */
    }
    fclose(file);
}

static size_t find_row(double x) { /* the last row at or before x, or the first */
    size_t low = 0, high = wave.rows;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (wave.at[middle] <= x) low = middle; else high = middle;
    }
    return low;
}

static double row_energy(double x) {
    size_t i = find_row(x);
    return wave.sum[i] + wave.watts[i] * (x - wave.at[i]);
}

static double wave_energy(double x) {
    if (wave.kind == CONSTANT) return wave.hi * x;
    if (wave.kind == LOAD) {
        pthread_mutex_lock(&wave_lock);
        read_rows();
        double energy = wave.rows ? row_energy(x) : 0;
        pthread_mutex_unlock(&wave_lock);
        return energy;
    }
    x -= wave.phase;
    double whole = floor(x / wave.period), rest = x - whole * wave.period;
    if (wave.kind == REPLAY) {
        double each = row_energy(wave.at[0] + wave.period);
        return whole * each + row_energy(wave.at[0] + rest);
    }
    double rise = wave.hi - wave.lo;
    if (wave.kind == RAMP) {
        return whole * wave.period * (wave.lo + wave.hi) / 2 + wave.lo * rest + rise * rest * rest / (2 * wave.period);
    }
    double high = rest < wave.high_s ? rest : wave.high_s;
    return whole * (wave.lo * wave.period + rise * wave.high_s) + wave.lo * rest + rise * high;
}

static double wave_power(double x) {
    if (wave.kind == CONSTANT) return wave.hi;
    if (wave.kind == LOAD) {
        pthread_mutex_lock(&wave_lock);
        read_rows();
        double watts = wave.rows ? wave.watts[find_row(x)] : 0;
        pthread_mutex_unlock(&wave_lock);
        return watts;
    }
    x -= wave.phase;
    double rest = x - floor(x / wave.period) * wave.period;
    if (wave.kind == REPLAY) return wave.watts[find_row(wave.at[0] + rest)];
    if (wave.kind == RAMP) return wave.lo + (wave.hi - wave.lo) * rest / wave.period;
    return rest < wave.high_s ? wave.hi : wave.lo;
}

/* Read a wave from its text; a wave that is not understood ends the program, since a test would measure nothing. */
static void wave_setup(const char *text) {
    double duty = 0.5, length = 0;
    wave.kind = -1;
    wave.phase = 0;
    wave.rows = 0;
    wave.offset = 0;
    if (sscanf(text, "constant:%lf", &wave.hi) == 1) wave.kind = CONSTANT;
    if (sscanf(text, "square:%lf:%lf:%lf:%lf:%lf", &wave.lo, &wave.hi, &wave.period, &duty, &wave.phase) >= 3) {
        wave.kind = SQUARE;
        wave.high_s = duty * wave.period;
    }
    if (sscanf(text, "burst:%lf:%lf:%lf:%lf", &wave.lo, &wave.hi, &wave.period, &length) == 4) {
        wave.kind = SQUARE;
        wave.high_s = length;
    }
    if (sscanf(text, "ramp:%lf:%lf:%lf", &wave.lo, &wave.hi, &wave.period) == 3) wave.kind = RAMP;
    if (sscanf(text, "replay:%4095[^\n]", wave.path) == 1) {
        wave.kind = REPLAY;
        read_rows();
        if (wave.rows < 2) wave.kind = -1; /* the last step holds as long as the one before it */
        else wave.period = 2 * wave.at[wave.rows - 1] - wave.at[wave.rows - 2] - wave.at[0];
    }
    if (sscanf(text, "load:%4095[^\n]", wave.path) == 1) wave.kind = LOAD;
    if (wave.kind < 0 || ((wave.kind == SQUARE || wave.kind == RAMP) && !(wave.period > 0))) {
        fprintf(stderr, "stand-in NVML: STANDIN_WAVE='%s' is no wave\n", text);
        exit(2);
    }
}
