// The running process: workers, signals, reload, drain.
#ifndef FARTHING_MAIN_PROCESS_H
#define FARTHING_MAIN_PROCESS_H

#include "farthing/admin.h"
#include "farthing/config.h"
#include "farthing/demo.h"
#include "farthing/flow.h"

// What the configuration names and a start would need: certificate, price file.
bool process_check(const struct config *config, struct error *err);
// Serves until SIGTERM or SIGINT; takes over the reference. path NULL: nothing
// to reload from. `hello` is printed when it serves. The exit status.
int process_run(const struct config *config, const char *path, const char *hello);
void process_wait_for_signal(void);

// A row for what budgets count as spent since an earlier process was killed, so
// that rows and counters agree. At start-up.
void write_recovered_rows(struct budgets *budgets, struct store *store, struct ledger *ledger);
// The same as it is found from now on, with a shared store.
void write_rows_recovered_later(struct budgets *budgets, struct ledger *ledger);
// And what the process before this one may have spent and not written down.
void settle_with_earlier_process(struct budgets *budgets, struct store *store);

// One event loop on its own thread.
struct worker;
struct worker_options {
    const struct flow_shared *shared;
    const struct config *config;
    struct prices *prices;
    struct routing *routing;
    struct http_tls *tls;
    const uint16_t *ports;   // by address: 0, or what an earlier worker was given
    struct event_base *main; // is told when the worker has ended
    void (*ended)(void *arg);
    void *arg;
};
// Listens at once (so that errors are seen), serves when worker_start is called.
struct worker *worker_new(const struct worker_options *options, uint16_t *bound_ports,
                          struct error *err);
bool worker_start(struct worker *w);
void worker_set_config(struct worker *w, const struct config *config, struct prices *prices,
                       struct routing *routing, struct http_tls *tls);
// Answers once, whatever becomes of the worker.
void worker_ask_inflight(struct worker *w, struct admin_inflight_answer *answer);
void worker_drain(struct worker *w); // ends by itself when nothing runs any more
void worker_stop(struct worker *w);  // now
void worker_free(struct worker *w);  // joins

// The mock provider on a thread of its own.
struct demo_mock;
struct demo_mock *demo_mock_start(const char *listen, const struct mock_options *options);
uint16_t demo_mock_port(const struct demo_mock *m);
void demo_mock_stop(struct demo_mock *m);

void http_limits_of(const struct config *config, struct http_limits *out);

#endif
