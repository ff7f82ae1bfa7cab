// SPDX-License-Identifier: MIT
// The threads of halftone_parallel.
//
// A job is open while its caller hands out indices. All that workers must agree on is one atomic
// word: how many workers are inside, how many may be, whether the job is open, and which job it is.
// A worker enters by adding one to that word while the job is open; the caller closes the job and
// waits until nobody is inside. A worker that wakes too late finds the job closed, so the caller
// never waits for a thread that has not begun. The job's fields change only while it is closed and
// nobody is inside.
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "prelude.h"

enum { max_workers = 255, spin_nanoseconds = 300000 };

#define INSIDE_ONE UINT64_C(1)
#define INSIDE(state) ((uint32_t)((state) & 0xffff))
#define LIMIT(state) ((uint32_t)((state) >> 16 & 0xffff))
#define OPEN (UINT64_C(1) << 32)
#define JOB_ONE (UINT64_C(1) << 33)
#define JOB(state) ((state) >> 33)

static struct {
  void (*body)(void *context, size_t index);
  void *context;
  size_t count;
  _Alignas(64) atomic_size_t next;
  _Alignas(64) _Atomic uint64_t state;
  _Alignas(64) atomic_bool busy;
  atomic_int asleep;  // workers that must be signalled
  int started;        // guarded by busy
  pthread_mutex_t mutex;
  pthread_cond_t opened, left;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .opened = PTHREAD_COND_INITIALIZER,
          .left = PTHREAD_COND_INITIALIZER};

static _Thread_local int in_body;

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int is_new(uint64_t state, uint64_t seen) { return (state & OPEN) && JOB(state) != seen; }
static int is_empty(uint64_t state, uint64_t unused) { return (void)unused, INSIDE(state) == 0; }

// Spins until ready(state, argument), for a bounded time; says whether it was.
static int spin(int (*ready)(uint64_t, uint64_t), uint64_t argument) {
  int64_t end = now() + spin_nanoseconds;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready(atomic_load(&pool.state), argument)) return 1;
      relax();
    }
  } while (now() < end);
  return 0;
}

static void drain(void) {
  in_body = 1;
  for (size_t i; (i = atomic_fetch_add(&pool.next, 1)) < pool.count;) pool.body(pool.context, i);
  in_body = 0;
}

// Waits for a job other than `seen`. The caller reads `asleep` after it opens a job, and a worker
// reads the state after it counts itself asleep, so one of the two sees the other.
static void await_job(uint64_t seen) {
  if (spin(is_new, seen)) return;
  pthread_mutex_lock(&pool.mutex);
  atomic_fetch_add(&pool.asleep, 1);
  while (!is_new(atomic_load(&pool.state), seen)) pthread_cond_wait(&pool.opened, &pool.mutex);
  atomic_fetch_sub(&pool.asleep, 1);
  pthread_mutex_unlock(&pool.mutex);
}

static void *work(void *argument) {
  uint64_t seen = (uint64_t)(uintptr_t)argument;
  for (;;) {
    await_job(seen);
    uint64_t state = atomic_load(&pool.state);
    int inside = 0;
    while (is_new(state, seen) && INSIDE(state) < LIMIT(state) && !inside)
      inside = atomic_compare_exchange_weak(&pool.state, &state, state + INSIDE_ONE);
    if (is_new(state, seen)) seen = JOB(state);
    if (!inside) continue;
    drain();
    state = atomic_fetch_sub(&pool.state, INSIDE_ONE);
    if (INSIDE(state) == 1 && !(state & OPEN)) {
      pthread_mutex_lock(&pool.mutex);
      pthread_cond_signal(&pool.left);
      pthread_mutex_unlock(&pool.mutex);
    }
  }
  return NULL;
}

// Starts threads until there are `wanted`, or as many as the system gives.
static void grow(int wanted) {
  if (pool.started >= wanted) return;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, (size_t)8 << 20);
  uintptr_t seen = (uintptr_t)JOB(atomic_load(&pool.state));
  for (pthread_t thread; pool.started < wanted; ++pool.started)
    if (pthread_create(&thread, &attributes, work, (void *)seen) != 0) break;
  pthread_attr_destroy(&attributes);
}

static void open_job(uint32_t limit) {
  uint64_t job = (atomic_load(&pool.state) & ~(JOB_ONE - 1)) + JOB_ONE;
  atomic_store(&pool.state, job | OPEN | (uint64_t)limit << 16);
  if (atomic_load(&pool.asleep) == 0) return;
  pthread_mutex_lock(&pool.mutex);
  int asleep = atomic_load(&pool.asleep);
  for (int i = 0; i < asleep && (uint32_t)i < limit; ++i) pthread_cond_signal(&pool.opened);
  pthread_mutex_unlock(&pool.mutex);
}

static void close_job(void) {
  uint64_t state = atomic_fetch_and(&pool.state, ~OPEN);
  if (is_empty(state, 0) || spin(is_empty, 0)) return;
  pthread_mutex_lock(&pool.mutex);
  while (!is_empty(atomic_load(&pool.state), 0)) pthread_cond_wait(&pool.left, &pool.mutex);
  pthread_mutex_unlock(&pool.mutex);
}

void halftone_parallel(size_t count, int threads, void (*body)(void *context, size_t index),
                       void *context) {
  if (threads > max_workers + 1) threads = max_workers + 1;
  size_t helpers = threads < 2 || count < 2 ? 0 : (size_t)threads - 1;
  if (helpers > count - 1) helpers = count - 1;
  if (helpers == 0 || in_body || atomic_exchange(&pool.busy, 1)) {
    int outer = in_body;
    in_body = 1;
    for (size_t i = 0; i < count; ++i) body(context, i);
    in_body = outer;
    return;
  }
  pool.body = body;
  pool.context = context;
  pool.count = count;
  atomic_store(&pool.next, 0);
  grow((int)helpers);
  open_job((uint32_t)helpers);
  drain();
  close_job();
  atomic_store(&pool.busy, 0);
}
