/* NVML's own functions, as nvidia-ml-py calls them; included by nvml.c. */
typedef struct {
    uint32_t field, scope;
    int64_t stamp, latency;
    uint32_t type, status;
    union { double d; uint32_t u; uint64_t ull; } value;
} Field;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned version, sensor; int celsius; } Temperature;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } Process;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } Pci;

enum { FIELD_ENERGY = 83, FIELD_AVERAGE = 185, FIELD_INSTANT = 186, TYPE_DOUBLE = 0, TYPE_UINT = 1, TYPE_ULL = 3 };
static const unsigned long long MEMORY_BYTES = 80ull << 30, MEMORY_RESERVED = 512ull << 20, MEMORY_USED = 4ull << 30;

#define DEVICE(what) double now; int code = enter(gpu, what, &now); if (code != OK) return code
#define SAME(alias, signature, arguments, name) int alias signature { return name arguments; }

int nvmlInitWithFlags(unsigned flags) { (void)flags; if (!users++) standin_setup(); return OK; }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlInit(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { if (!users) return UNINITIALIZED; users--; return OK; }

const char *nvmlErrorString(int code) {
    switch (code) {
        case OK: return "Success";
        case UNINITIALIZED: return "Uninitialized";
        case INVALID_ARGUMENT: return "Invalid Argument";
        case NOT_SUPPORTED: return "Not Supported";
        case NOT_FOUND: return "Not Found";
        case TOO_SMALL: return "Insufficient Size";
        case LOST: return "GPU is lost";
        default: return "Unknown Error";
    }
}

static int text(char *target, unsigned length, const char *source) {
    if (strlen(source) >= length) return TOO_SMALL;
    strcpy(target, source);
    return OK;
}

static void uuid_of(int index, char *uuid) { sprintf(uuid, "GPU-%d0a1b2c3-d4e5-4f60-8123-456789abcde%d", index, index); }

static void pci_of(int index, char *bus_id) { sprintf(bus_id, "00000000:%02X:00.0", 16 * (index + 1)); }

int nvmlSystemGetDriverVersion(char *version, unsigned length) { return text(version, length, "550.54.15"); }
int nvmlSystemGetNVMLVersion(char *version, unsigned length) { return text(version, length, "12.550.54.15"); }
int nvmlSystemGetCudaDriverVersion(int *version) { *version = 12040; return OK; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { return nvmlSystemGetCudaDriverVersion(version); }

int nvmlDeviceGetCount_v2(unsigned *count) { *count = (unsigned)set.gpus; return users ? OK : UNINITIALIZED; }
SAME(nvmlDeviceGetCount, (unsigned *count), (count), nvmlDeviceGetCount_v2)

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu **gpu) {
    if (!users) return UNINITIALIZED;
    if (index >= (unsigned)set.gpus) return INVALID_ARGUMENT;
    *gpu = &gpus[index];
    return standin_now_s() >= set.lost_at ? LOST : OK;
}
SAME(nvmlDeviceGetHandleByIndex, (unsigned index, Gpu **gpu), (index, gpu), nvmlDeviceGetHandleByIndex_v2)

static int find(const char *wanted, void (*name_of)(int, char *), Gpu **gpu) {
    char name[80];
    for (int i = 0; i < set.gpus; i++) {
        name_of(i, name);
        if (!strcmp(name, wanted)) return nvmlDeviceGetHandleByIndex_v2((unsigned)i, gpu);
    }
    return users ? NOT_FOUND : UNINITIALIZED;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Gpu **gpu) { return find(uuid, uuid_of, gpu); }
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, Gpu **gpu) { return find(bus_id, pci_of, gpu); }
SAME(nvmlDeviceGetHandleByPciBusId, (const char *id, Gpu **gpu), (id, gpu), nvmlDeviceGetHandleByPciBusId_v2)

/* Who a device is: answers as long as it is not lost, whatever else fails. */
static int known(Gpu *gpu) {
    if (!users) return UNINITIALIZED;
    if (gpu < gpus || gpu >= gpus + set.gpus) return INVALID_ARGUMENT;
    return standin_now_s() >= set.lost_at ? LOST : OK;
}

int nvmlDeviceGetIndex(Gpu *gpu, unsigned *index) { *index = (unsigned)gpu->index; return known(gpu); }
int nvmlDeviceGetArchitecture(Gpu *gpu, unsigned *arch) { *arch = set.generation->arch; return known(gpu); }

int nvmlDeviceGetName(Gpu *gpu, char *name, unsigned length) {
    char whole[96];
    snprintf(whole, sizeof whole, set.unlike ? "%s (%c)" : "%s", set.generation->name, 'A' + gpu->index);
    int code = known(gpu);
    return code == OK ? text(name, length, whole) : code;
}

int nvmlDeviceGetUUID(Gpu *gpu, char *uuid, unsigned length) {
    char whole[80];
    uuid_of(gpu->index, whole);
    int code = known(gpu);
    return code == OK ? text(uuid, length, whole) : code;
}

int nvmlDeviceGetPciInfo_v3(Gpu *gpu, Pci *pci) {
    memset(pci, 0, sizeof *pci);
    pci->bus = 16u * (unsigned)(gpu->index + 1);
    pci_of(gpu->index, pci->bus_id);
    strncpy(pci->legacy, pci->bus_id + 4, sizeof pci->legacy - 1);
    return known(gpu);
}
SAME(nvmlDeviceGetPciInfo, (Gpu *gpu, Pci *pci), (gpu, pci), nvmlDeviceGetPciInfo_v3)

int nvmlDeviceGetMigMode(Gpu *gpu, unsigned *current, unsigned *pending) {
    if (!set.generation->has_mig) return NOT_SUPPORTED;
    *current = *pending = set.mig == gpu->index;
    return known(gpu);
}

int nvmlDeviceGetC2cModeInfoV(Gpu *gpu, unsigned *enabled) { /* the link of a Grace Hopper */
    *enabled = 1;
    return set.module_only ? known(gpu) : NOT_SUPPORTED;
}

/* Energy and power. */
int nvmlDeviceGetTotalEnergyConsumption(Gpu *gpu, unsigned long long *mj) {
    DEVICE(COUNTER);
    if (set.no_counter) return NOT_SUPPORTED;
    *mj = counter_mj(gpu->index, now);
    return OK;
}

int nvmlDeviceGetPowerUsage(Gpu *gpu, unsigned *mw) {
    DEVICE(POWER);
    if (set.no_power || set.module_only) return NOT_SUPPORTED;
    *mw = power_mw(gpu->index, now, set.generation->usage == USAGE_MEAN);
    return OK;
}

static int has_field(const Field *field) {
    if (field->field == FIELD_ENERGY) return !set.no_counter;
    if (field->scope != (set.module_only ? 1u : 0u) || set.no_power) return 0;
    if (field->field == FIELD_INSTANT) return set.generation->has_instant && !set.no_instant;
    return field->field == FIELD_AVERAGE && set.generation->has_average;
}

int nvmlDeviceGetFieldValues(Gpu *gpu, int count, Field *values) {
    DEVICE(FIELDS);
    int failing = now >= set.fail_from && now < set.fail_until;
    for (int i = 0; i < count; i++) {
        Field *field = &values[i];
        int kind = field->field == FIELD_ENERGY ? COUNTER : POWER;
        field->stamp = (int64_t)(now * 1e6);
        field->latency = 0;
        field->type = kind == COUNTER ? TYPE_ULL : TYPE_UINT;
        field->value.ull = 0;
        field->status = OK;
        if (!has_field(field)) field->status = NOT_SUPPORTED;
        else if (failing && (set.fail_only < 0 || set.fail_only == kind)) field->status = (uint32_t)set.fail_code;
        else if (now >= set.nan_from) { field->type = TYPE_DOUBLE; field->value.d = NAN; }
        else if (kind == COUNTER) field->value.ull = counter_mj(gpu->index, now);
        else field->value.u = power_mw(gpu->index, now, field->field == FIELD_AVERAGE);
    }
    return OK;
}

static int limit(Gpu *gpu, unsigned *mw, double share) {
    DEVICE(OTHER);
    *mw = (unsigned)(set.limit_w * share * 1e3);
    return OK;
}

int nvmlDeviceGetEnforcedPowerLimit(Gpu *gpu, unsigned *mw) { return limit(gpu, mw, 1); }
int nvmlDeviceGetPowerManagementLimit(Gpu *gpu, unsigned *mw) { return limit(gpu, mw, 1); }
int nvmlDeviceGetPowerManagementDefaultLimit(Gpu *gpu, unsigned *mw) { return limit(gpu, mw, 1); }
int nvmlDeviceGetPowerManagementMode(Gpu *gpu, unsigned *mode) { *mode = 1; return known(gpu); }
int nvmlDeviceGetPowerManagementLimitConstraints(Gpu *gpu, unsigned *low, unsigned *high) {
    int code = limit(gpu, low, 0.25);
    return code == OK ? limit(gpu, high, 1) : code;
}

/* What a device is doing. */
int nvmlDeviceGetTemperature(Gpu *gpu, unsigned sensor, unsigned *celsius) {
    DEVICE(OTHER);
    if (sensor != 0) return INVALID_ARGUMENT;
    *celsius = 40u + (unsigned)gpu->index;
    return OK;
}

int nvmlDeviceGetTemperatureV(Gpu *gpu, Temperature *temperature) {
    unsigned celsius = 0;
    int code = nvmlDeviceGetTemperature(gpu, temperature->sensor, &celsius);
    temperature->celsius = (int)celsius;
    return code;
}

static int clock_mhz(Gpu *gpu, unsigned type, unsigned *mhz) {
    static const unsigned clocks[] = {1755, 1755, 2619, 1545}; /* graphics, SM, memory, video */
    DEVICE(OTHER);
    if (type > 3) return INVALID_ARGUMENT;
    *mhz = clocks[type];
    return OK;
}

int nvmlDeviceGetClockInfo(Gpu *gpu, unsigned type, unsigned *mhz) { return clock_mhz(gpu, type, mhz); }
int nvmlDeviceGetMaxClockInfo(Gpu *gpu, unsigned type, unsigned *mhz) { return clock_mhz(gpu, type, mhz); }

int nvmlDeviceGetUtilizationRates(Gpu *gpu, Utilization *utilization) {
    DEVICE(OTHER);
    double share = shown_w(gpu->index, now, set.power_window) / (set.limit_w * (gpu->index + 1));
    utilization->gpu = (unsigned)lround(100 * fmin(fmax(share, 0), 1));
    utilization->memory = utilization->gpu / 2;
    return OK;
}

int nvmlDeviceGetCurrentClocksEventReasons(Gpu *gpu, unsigned long long *reasons) {
    DEVICE(OTHER);
    *reasons = set.throttle;
    return OK;
}
SAME(nvmlDeviceGetCurrentClocksThrottleReasons, (Gpu *gpu, unsigned long long *reasons), (gpu, reasons),
     nvmlDeviceGetCurrentClocksEventReasons)

int nvmlDeviceGetPerformanceState(Gpu *gpu, unsigned *state) { *state = 0; return known(gpu); }
SAME(nvmlDeviceGetPowerState, (Gpu *gpu, unsigned *state), (gpu, state), nvmlDeviceGetPerformanceState)
int nvmlDeviceGetComputeMode(Gpu *gpu, unsigned *mode) { *mode = 0; return known(gpu); }
int nvmlDeviceGetPersistenceMode(Gpu *gpu, unsigned *mode) { *mode = 1; return known(gpu); }

int nvmlDeviceGetMemoryInfo(Gpu *gpu, Memory *memory) {
    DEVICE(OTHER);
    *memory = (Memory){MEMORY_BYTES, MEMORY_BYTES - MEMORY_USED, MEMORY_USED};
    return OK;
}

int nvmlDeviceGetMemoryInfo_v2(Gpu *gpu, MemoryV2 *memory) {
    DEVICE(OTHER);
    unsigned long long free = MEMORY_BYTES - MEMORY_USED - MEMORY_RESERVED;
    *memory = (MemoryV2){memory->version, MEMORY_BYTES, MEMORY_RESERVED, free, MEMORY_USED};
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Gpu *gpu, unsigned *count, Process *processes) {
    DEVICE(OTHER);
    unsigned room = *count;
    *count = (unsigned)set.num_pids;
    if (room < *count) return TOO_SMALL;
    for (unsigned i = 0; i < *count; i++) processes[i] = (Process){(unsigned)set.pids[i], MEMORY_USED, ~0u, ~0u};
    return OK;
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(Gpu *gpu, unsigned *count, Process *processes) {
    DEVICE(OTHER);
    (void)processes;
    *count = 0;
    return OK;
}
