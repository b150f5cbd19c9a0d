package api

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/konlog/konlog/store"
)

// Of asking the engine what it takes up, which reads the database.
const (
	storageEvery   = 10 * time.Second // whoever asks more often gets the same again
	storageTimeout = time.Second      // and then the numbers of before
)

// engineCollector asks the engine how it fares, once per scrape.
type engineCollector struct {
	health   store.HealthReporter // each or nil
	measures store.MeasureReporter
	storage  store.StorageReporter

	values     []engineValue
	histograms []engineHistogram
	sizes      []storageValue

	mu   sync.Mutex // guards what follows
	at   time.Time
	last *store.Storage // or nil
}

type engineValue struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(h *store.Health, m *store.Measures) float64
	asks  engineAsk
}

// engineAsk says which ability of an engine a value is of.
type engineAsk int

const (
	ofHealth engineAsk = iota
	ofMeasures
)

type engineHistogram struct {
	desc  *prometheus.Desc
	value func(m *store.Measures) store.HistogramSnapshot
}

type storageValue struct {
	desc  *prometheus.Desc
	value func(s *store.Storage) int64
}

func newEngineCollector(log store.Log) *engineCollector {
	c := &engineCollector{}
	c.health, _ = log.(store.HealthReporter)
	c.measures, _ = log.(store.MeasureReporter)
	c.storage, _ = log.(store.StorageReporter)
	c.values = append(healthValues(), measureValues()...)
	c.values = append(c.values, roomValues()...)
	c.histograms = engineHistograms()
	c.sizes = storageValues()
	return c
}

func engineDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(metricNamespace, "", name), help, nil, nil)
}

func healthValues() []engineValue {
	of := func(name, help string, kind prometheus.ValueType, f func(h *store.Health) float64) engineValue {
		return engineValue{engineDesc(name, help), kind, func(h *store.Health, _ *store.Measures) float64 { return f(h) }, ofHealth}
	}
	return []engineValue{
		of("queue_requests", "Appends that wait for the writer.", prometheus.GaugeValue, func(h *store.Health) float64 { return float64(h.QueueDepth) }),
		of("queue_bytes", "Bytes of the appends that wait for the writer.", prometheus.GaugeValue, func(h *store.Health) float64 { return float64(h.QueueBytes) }),
		of("commits_total", "Transactions of the log; appends_total over this says how many appends share a commit.", prometheus.CounterValue,
			func(h *store.Health) float64 { return float64(h.Commits) }),
		of("writable", "1 when appends are taken.", prometheus.GaugeValue, func(h *store.Health) float64 { return boolean(h.Writable) }),
	}
}

func measureValues() []engineValue {
	of := func(name, help string, kind prometheus.ValueType, f func(m *store.Measures) int64) engineValue {
		return engineValue{engineDesc(name, help), kind, func(_ *store.Health, m *store.Measures) float64 { return float64(f(m)) }, ofMeasures}
	}
	gauge, count := prometheus.GaugeValue, prometheus.CounterValue
	return []engineValue{
		of("commits_failed_total", "Transactions of which nothing was stored.", count, func(m *store.Measures) int64 { return m.CommitFailed }),
		of("checkpoints_failed_total", "Checkpoints that ended with an error.", count, func(m *store.Measures) int64 { return m.CheckpointFailed }),
		of("checkpoint_pages", "Pages of the write-ahead log at the last checkpoint.", gauge, func(m *store.Measures) int64 { return m.CheckpointPages }),
		of("checkpoint_pending_pages", "Pages that the last checkpoint could not copy, because somebody reads.", gauge, func(m *store.Measures) int64 { return m.CheckpointLeft }),
		of("wal_restarts_total", "Times that the write-ahead log was cut back.", count, func(m *store.Measures) int64 { return m.WALRestarts }),
		of("wal_restarts_failed_total", "Times that readers were in the way of that.", count, func(m *store.Measures) int64 { return m.WALRestartFailed }),
		of("database_readers_idle", "Connections of engine.readers on which nobody reads.", gauge, func(m *store.Measures) int64 { return int64(m.ReadersIdle) }),
		of("cache_bytes", "Newest events kept in memory.", gauge, func(m *store.Measures) int64 { return m.CacheBytes }),
		of("retention_removed_events_total", "Events that retention removed.", count, func(m *store.Measures) int64 { return m.RetainedEvents }),
		of("retention_removed_blobs_total", "Blobs that no event referred to any more.", count, func(m *store.Measures) int64 { return m.RemovedBlobs }),
		of("derive_sessions", "Sessions with events that the search has not gone through yet, as far as they are known.", gauge,
			func(m *store.Measures) int64 { return int64(m.DeriveSessions) }),
		of("derive_behind", "1 while more such sessions may be.", gauge, func(m *store.Measures) int64 { return int64(boolean(m.DeriveBehind)) }),
	}
}

func engineHistograms() []engineHistogram {
	of := func(name, help string, f func(m *store.Measures) store.HistogramSnapshot) engineHistogram {
		return engineHistogram{engineDesc(name, help), f}
	}
	return []engineHistogram{
		of("queue_wait_seconds", "Time of a request in the queue.", func(m *store.Measures) store.HistogramSnapshot { return m.QueueWait }),
		of("commit_seconds", "Time of a transaction.", func(m *store.Measures) store.HistogramSnapshot { return m.Commit }),
		of("commit_sync_seconds", "Of that the COMMIT: the write-ahead log is written and synced.", func(m *store.Measures) store.HistogramSnapshot { return m.Sync }),
		of("commit_requests", "Requests that share a transaction.", func(m *store.Measures) store.HistogramSnapshot { return m.CommitAppends }),
		of("commit_events", "Events of a transaction.", func(m *store.Measures) store.HistogramSnapshot { return m.CommitEvents }),
		of("checkpoint_seconds", "Time of a checkpoint; appends wait for it.", func(m *store.Measures) store.HistogramSnapshot { return m.Checkpoint }),
	}
}

func storageValues() []storageValue {
	of := func(name, help string, f func(s *store.Storage) int64) storageValue {
		return storageValue{engineDesc(name, help), f}
	}
	return []storageValue{
		of("database_bytes", "Size of the database.", func(s *store.Storage) int64 { return s.DatabaseBytes }),
		of("database_free_bytes", "Of those, pages that nothing is in.", func(s *store.Storage) int64 { return s.FreeBytes }),
		of("wal_bytes", "Size of the write-ahead log.", func(s *store.Storage) int64 { return s.WALBytes }),
		of("blobs", "Blobs that are stored.", func(s *store.Storage) int64 { return s.Blobs }),
		of("blob_bytes", "Bytes of the blobs that are stored.", func(s *store.Storage) int64 { return s.BlobBytes }),
	}
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c *engineCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, v := range c.values {
		ch <- v.desc
	}
	for _, h := range c.histograms {
		ch <- h.desc
	}
	for _, s := range c.sizes {
		ch <- s.desc
	}
}

// Collect implements prometheus.Collector. What an engine cannot tell is left
// out.
func (c *engineCollector) Collect(ch chan<- prometheus.Metric) {
	var health store.Health
	if c.health != nil {
		health = c.health.Health()
	}
	var measures store.Measures
	if c.measures != nil {
		measures = c.measures.Measures()
	}
	for _, v := range c.values {
		if v.asks == ofHealth && c.health != nil || v.asks == ofMeasures && c.measures != nil {
			ch <- prometheus.MustNewConstMetric(v.desc, v.kind, v.value(&health, &measures))
		}
	}
	if c.measures != nil {
		for _, h := range c.histograms {
			ch <- constHistogram(h.desc, h.value(&measures))
		}
	}
	if s := c.sizesNow(); s != nil {
		for _, v := range c.sizes {
			ch <- prometheus.MustNewConstMetric(v.desc, prometheus.GaugeValue, float64(v.value(s)))
		}
	}
}

func constHistogram(desc *prometheus.Desc, s store.HistogramSnapshot) prometheus.Metric {
	buckets, total := make(map[float64]uint64, len(s.Bounds)), uint64(0)
	for i, n := range s.Counts {
		total += n
		if i < len(s.Bounds) {
			buckets[s.Bounds[i]] = total
		}
	}
	return prometheus.MustNewConstHistogram(desc, total, s.Sum, buckets)
}

// sizesNow asks at most now and then, and not for long.
func (c *engineCollector) sizesNow() *store.Storage {
	if c.storage == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.last == nil || now.Sub(c.at) >= storageEvery {
		ctx, cancel := context.WithTimeout(context.Background(), storageTimeout)
		defer cancel()
		if s, err := c.storage.Storage(ctx); err == nil {
			c.last, c.at = &s, now
		}
	}
	return c.last
}
