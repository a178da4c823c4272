// What routing saves, route by route: the windows (savings.c), and what of them is in
// the store (savings_table.c).
#ifndef FARTHING_LEDGER_SAVINGS_H
#define FARTHING_LEDGER_SAVINGS_H

#include "farthing/ledger.h"

struct savings; // any thread, but where it is said

struct savings *savings_new(void);
void savings_free(struct savings *s); // NULL is fine
// Main thread. `store` may be NULL: then nothing is read, and events are in the log only.
void savings_set_config(struct savings *s, struct store *store, const struct config *config);
void savings_note(struct savings *s, const struct cost_row *row);
bool savings_route_is_off(const struct savings *s, struct slice route);
void savings_visit(struct savings *s, void (*visit)(void *, const struct ledger_route_view *),
                   void *arg);
void savings_publish(struct savings *s);
void savings_declare(void); // the gauges

// ------------------------------------------------------------------- in the store

struct store_journal *savings_events_open(struct store *store);
// That a route was switched: one line in the log, and one row where there is a table.
void savings_event_write(struct store_journal *events, const struct ledger_route_view *view);
// Which routes were off when the last process ended, and since when.
void savings_events_read(struct store *store, void (*is_off)(void *, struct slice, int64_t at_ms),
                         void *arg);
// The rows since `since_ms`: what each route had in each stretch of width_ms, whose number
// is Unix time / width_ms.
typedef void savings_stretch(void *arg, struct slice route, int64_t number,
                             const struct ledger_saving *saving);
void savings_read(struct store *store, int64_t since_ms, int64_t width_ms, savings_stretch *use,
                  void *arg);

#endif
