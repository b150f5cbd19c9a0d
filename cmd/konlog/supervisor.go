package main

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// tellSupervisor says to systemd what it waits for where the unit has
// Type=notify, and shows that the server lives where it has WatchdogSec, until
// ctx ends. Without systemd it does nothing. What is told is the life of the
// process, not of its disk: a restart would mend neither a full nor a broken one.
func (s *server) tellSupervisor(ctx context.Context) {
	s.tell(daemon.SdNotifyReady + "\nSTATUS=listening on " + s.url)
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.logger.Warn("the supervisor's watchdog was not understood", "err", err)
	}
	if err == nil && interval > 0 {
		tick := time.NewTicker(interval / 3)
		defer tick.Stop()
		for ctx.Err() == nil {
			s.log.Health() // takes the engine's lock: a server that hangs there does not live
			s.tell(daemon.SdNotifyWatchdog)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
	<-ctx.Done()
	s.tell(daemon.SdNotifyStopping)
}

func (s *server) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.logger.Warn("the supervisor was not told", "err", err)
	}
}
