/* A stand-in for NVML with known power: GPU i draws (i + 1) x a square wave, counted exactly and shown every
 * FAKE_PERIOD_S. Settings come from the environment: FAKE_N GPUs, FAKE_LO and FAKE_HI watts, FAKE_WAVE_S, FAKE_PERIOD_S,
 * FAKE_NO_COUNTER, FAKE_NO_INSTANT, FAKE_MIG (index of a split GPU), FAKE_UNLIKE (GPUs of different names). */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6 };

typedef struct { uint32_t field, scope; int64_t stamp, latency; uint32_t type, status; union { double d; uint32_t u; uint64_t ull; } value; } Field;

static int gpus[16];

static double setting(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text ? atof(text) : otherwise;
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double s = t.tv_sec + t.tv_nsec * 1e-9, period = setting("FAKE_PERIOD_S", 0);
    return period > 0 ? floor(s / period) * period : s;
}

static double power_w(void *gpu) {
    double wave = setting("FAKE_WAVE_S", 1), lo = setting("FAKE_LO", 100), hi = setting("FAKE_HI", 100);
    return (*(int *)gpu + 1) * (fmod(now_s(), wave) < wave / 2 ? lo : hi);
}

static double energy_j(void *gpu) {
    double wave = setting("FAKE_WAVE_S", 1), lo = setting("FAKE_LO", 100), hi = setting("FAKE_HI", 100);
    double t = now_s(), rest = fmod(t, wave), whole = t - rest;
    double high = rest > wave / 2 ? rest - wave / 2 : 0;
    return (*(int *)gpu + 1) * (whole * (lo + hi) / 2 + lo * (rest - high) + hi * high);
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; for (int i = 0; i < 16; i++) gpus[i] = i; return OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == NOT_SUPPORTED ? "Not Supported" : "Not Found"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = (unsigned)setting("FAKE_N", 1); return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **gpu) {
    if (index >= (unsigned)setting("FAKE_N", 1)) return NOT_FOUND;
    *gpu = &gpus[index];
    return OK;
}

int nvmlDeviceGetName(void *gpu, char *name, unsigned length) {
    snprintf(name, length, "Fake GPU %c", getenv("FAKE_UNLIKE") ? 'A' + *(int *)gpu : 'A');
    return OK;
}

int nvmlDeviceGetUUID(void *gpu, char *uuid, unsigned length) {
    snprintf(uuid, length, "GPU-%d000-fake", *(int *)gpu);
    return OK;
}

int nvmlDeviceGetMigMode(void *gpu, unsigned *current, unsigned *pending) {
    *current = *pending = setting("FAKE_MIG", -1) == *(int *)gpu;
    return OK;
}

int nvmlDeviceGetTotalEnergyConsumption(void *gpu, uint64_t *mj) {
    if (getenv("FAKE_NO_COUNTER")) return NOT_SUPPORTED;
    *mj = (uint64_t)(energy_j(gpu) * 1e3);
    return OK;
}

int nvmlDeviceGetPowerUsage(void *gpu, unsigned *mw) { *mw = (unsigned)(power_w(gpu) * 1e3); return OK; }

int nvmlDeviceGetFieldValues(void *gpu, int count, Field *values) {
    for (int i = 0; i < count; i++) {
        values[i].type = 1;
        values[i].status = values[i].field == 186 && !getenv("FAKE_NO_INSTANT") ? OK : NOT_SUPPORTED;
        values[i].value.u = (uint32_t)(power_w(gpu) * 1e3);
    }
    return OK;
}

int nvmlDeviceGetTemperature(void *gpu, int sensor, unsigned *celsius) { (void)sensor; *celsius = 40 + *(int *)gpu; return OK; }
