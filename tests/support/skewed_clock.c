/* Shifts a process's wall clock by the seconds in the file that SKEWED_CLOCK names. The file may change while the
   process runs. Loaded with LD_PRELOAD. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *skew;
static int (*machine_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void load(void) {
    machine_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("SKEWED_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) skew = mapped;
}

int clock_gettime(clockid_t id, struct timespec *time) {
    if (!machine_clock) load();
    int result = machine_clock(id, time);
    if (result == 0 && id == CLOCK_REALTIME && skew) time->tv_sec += *skew;
    return result;
}
