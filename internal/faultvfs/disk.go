package faultvfs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// pendingBytesMax bounds what is kept of unsynced writes per file. Beyond it
// the older half reaches the disk, as a kernel writes back by itself when its cache
// is full.
const pendingBytesMax = 64 << 20

// disk is the model: the directory and the files as a power loss finds them.
type disk struct {
	live    map[string]*file // the directory as programs see it, by path
	durable map[string]*file // the directory as of its last sync
	seq     uint64           // of the last change
}

// file is an inode: it stays the same file under a deleted entry.
type file struct {
	synced       []byte
	pending      []change // since the last sync, in order
	pendingBytes int
}

// change is one write, or a truncation to off when data is nil. It is never
// modified, so that images may share it.
type change struct {
	seq  uint64
	off  int64
	data []byte
}

func newDisk() disk {
	return disk{live: map[string]*file{}, durable: map[string]*file{}}
}

// adopt takes in a file that was there before, and counts as durable.
func (d *disk) adopt(path string, content []byte) *file {
	f := &file{synced: content}
	d.live[path], d.durable[path] = f, f
	return f
}

func (d *disk) create(path string) *file {
	f := &file{}
	d.live[path] = f
	return f
}

func (d *disk) remove(path string) { delete(d.live, path) }

// syncDir makes the entries of a directory durable.
func (d *disk) syncDir(dir string) {
	maps.DeleteFunc(d.durable, func(path string, _ *file) bool {
		return filepath.Dir(path) == dir && d.live[path] == nil
	})
	for path, f := range d.live {
		if filepath.Dir(path) == dir {
			d.durable[path] = f
		}
	}
}

func (d *disk) record(f *file, off int64, data []byte) {
	d.seq++
	f.pending = append(f.pending, change{d.seq, off, data})
	f.pendingBytes += len(data)
	if f.pendingBytes > pendingBytesMax {
		f.settle(f.pending[len(f.pending)/2].seq)
	}
}

// settle brings the changes up to seq to the disk: those, and only those,
// that were made before the sync began.
func (f *file) settle(seq uint64) {
	n := 0
	for n < len(f.pending) && f.pending[n].seq <= seq {
		f.synced = f.pending[n].apply(f.synced)
		f.pendingBytes -= len(f.pending[n].data)
		n++
	}
	f.pending = slices.Clone(f.pending[n:]) // images share the old array
}

// forget is a sync that failed: what it was for is on disk by chance, and no
// longer waits to be written.
func (f *file) forget(rng *rand.Rand) {
	f.synced = scatter(f.synced, f.pending, rng)
	f.pending, f.pendingBytes = nil, 0
}

func (c change) apply(b []byte) []byte {
	if c.data == nil {
		return resize(b, c.off)
	}
	if end := c.off + int64(len(c.data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[c.off:], c.data)
	return b
}

func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		clear(b[n:]) // what grows again later must read as zeros
		return b[:n]
	}
	old := len(b)
	b = slices.Grow(b, int(n)-old)[:n]
	clear(b[old:])
	return b
}

// Image is a state of the disk that does not change any more.
type Image struct {
	entries map[string]versions
}

// versions are what a path may lead to: as of the last sync of the directory
// and as of now; nil where there is no such file.
type versions struct{ durable, live *file }

func (d *disk) image() *Image {
	copies := map[*file]*file{nil: nil}
	dup := func(f *file) *file {
		if c, ok := copies[f]; ok {
			return c
		}
		c := &file{synced: slices.Clone(f.synced), pending: slices.Clip(f.pending)}
		copies[f] = c
		return c
	}
	img := &Image{entries: map[string]versions{}}
	for path, f := range d.live {
		img.entries[path] = versions{dup(d.durable[path]), dup(f)}
	}
	for path, f := range d.durable {
		if d.live[path] == nil {
			img.entries[path] = versions{durable: dup(f)}
		}
	}
	return img
}

// Write puts one possible outcome of a power loss into dir, which must exist.
// Files keep their base names.
func (m *Image) Write(dir string, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 0x6b6f6e6c6f67))
	written := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(m.entries)) {
		e := m.entries[path]
		f := e.durable
		if e.live != e.durable && rng.IntN(2) == 0 {
			f = e.live
		}
		if f == nil {
			continue
		}
		base := filepath.Base(path)
		if written[base] {
			return fmt.Errorf("crash image: two directories hold a %s", base)
		}
		written[base] = true
		content := scatter(slices.Clone(f.synced), f.pending, rng)
		if err := os.WriteFile(filepath.Join(dir, base), content, 0o600); err != nil {
			return fmt.Errorf("crash image: %w", err)
		}
	}
	return nil
}

// scatter applies to b what arrived of the changes: a random subset of their
// sectors. Leaving out any of them is the same as cutting an arbitrary order
// of arrival short. Of one sector the order stays.
func scatter(b []byte, changes []change, rng *rand.Rand) []byte {
	sector := int64(512)
	if rng.IntN(2) == 0 {
		sector = 4096
	}
	keep := []float64{0, 1, 0.5, rng.Float64()}[rng.IntN(4)]
	for _, c := range changes {
		if c.data == nil {
			if rng.Float64() < keep {
				b = c.apply(b)
			}
			continue
		}
		for from, end := c.off, c.off+int64(len(c.data)); from < end; {
			to := min(end, (from/sector+1)*sector)
			if rng.Float64() < keep {
				b = change{off: from, data: c.data[from-c.off : to-c.off]}.apply(b)
			}
			from = to
		}
	}
	return b
}
