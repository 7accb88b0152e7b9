// Package bench measures Mailroom beside its peers, in one run on one machine.
// It holds tests only: `make bench` runs them. A figure that is not a ratio of
// two things measured side by side says more about the machine than about
// Mailroom (docs/performance.md holds results).
package bench
