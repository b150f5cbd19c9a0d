package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/konlog/konlog/store"
)

// roomValues are what is used of the quotas, and the room on the disk.
func roomValues() []engineValue {
	of := func(name, help string, f func(h *store.Health) int64) engineValue {
		return engineValue{engineDesc(name, help), prometheus.GaugeValue, func(h *store.Health, _ *store.Measures) float64 { return float64(f(h)) }, ofHealth}
	}
	return []engineValue{
		of("sessions", "Sessions there are, against quota.sessions.", func(h *store.Health) int64 { return h.Used.All.Sessions }),
		of("session_bytes", "Bytes of their events, against quota.bytes.", func(h *store.Health) int64 { return h.Used.All.Bytes }),
		of("wal_pending_bytes", "Of the write-ahead log, about what is not in the database yet; a reader that stays, such as a backup, lets it grow.", func(h *store.Health) int64 { return h.WALBytes }),
		of("disk_free_bytes", "Free on the disk of the data directory; 0 where nobody looks.", func(h *store.Health) int64 { return h.Disk.Free }),
		of("disk_total_bytes", "Size of that disk.", func(h *store.Health) int64 { return h.Disk.Total }),
		of("disk_warn_bytes", "Watermark below which it is filling up.", func(h *store.Health) int64 { return h.Disk.Warn }),
		of("disk_reserve_bytes", "Watermark below which appends are refused.", func(h *store.Health) int64 { return h.Disk.Reserve }),
		of("disk_low", "1 while appends are refused because of it.", func(h *store.Health) int64 { return int64(boolean(h.Disk.Low)) }),
	}
}

// registerQuotas shows the quotas that are set.
func (m *metrics) registerQuotas(q *store.Quotas) {
	limits := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: metricNamespace, Name: "quota_limit", Help: "The quotas of the whole server that are set."}, []string{"quota"})
	m.registry.MustRegister(limits)
	for name, max := range map[string]int64{"sessions": q.Sessions, "bytes": q.Bytes, "blob_bytes": q.BlobBytes} {
		if max > 0 {
			limits.WithLabelValues(name).Set(float64(max))
		}
	}
}
