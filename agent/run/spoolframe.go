package run

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/konlog/konlog/store"
)

// A frame is a draft in a file of a spool: the length of its body and the
// CRC-32C of that, four bytes each, then the body: when it was put, in
// nanoseconds since 1970, which of data and raw there are, and the draft's
// parts, each after its length. All numbers are little-endian, the lengths in
// the body varints.
const (
	frameHead = 8
	frameTime = 8
	frameMin  = frameHead + frameTime + 1

	frameData = 1 // bits of what there is
	frameRaw  = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendFrame(dst []byte, d *store.Draft, at time.Time) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, frameHead)...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at.UnixNano()))
	var has byte
	if d.Data != nil {
		has |= frameData
	}
	if d.Raw != nil {
		has |= frameRaw
	}
	dst = append(dst, has)
	for _, label := range [...]string{d.Key, d.Type, d.Turn, d.Parent} {
		dst = append(binary.AppendUvarint(dst, uint64(len(label))), label...)
	}
	for _, content := range [...][]byte{d.Data, d.Raw} {
		dst = append(binary.AppendUvarint(dst, uint64(len(content))), content...)
	}
	body := dst[start+frameHead:]
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[start+4:], crc32.Checksum(body, castagnoli))
	return dst
}

// errFrame says that bytes are no frame.
var errFrame = errors.New("no whole frame")

// frameLen returns the length of the frame that begins with head.
func frameLen(head []byte) (int64, error) {
	if len(head) < frameHead {
		return 0, errFrame
	}
	n := int64(binary.LittleEndian.Uint32(head)) + frameHead
	if n < frameMin || n > spoolDraftMax {
		return 0, errFrame
	}
	return n, nil
}

// wholeFrame reports whether the bytes are one frame as it was written.
func wholeFrame(frame []byte) bool {
	n, err := frameLen(frame)
	return err == nil && n == int64(len(frame)) &&
		crc32.Checksum(frame[frameHead:], castagnoli) == binary.LittleEndian.Uint32(frame[4:])
}

// frameAt is when the draft of a frame was put.
func frameAt(frame []byte) time.Time {
	return time.Unix(0, int64(binary.LittleEndian.Uint64(frame[frameHead:])))
}

// readFrame returns the draft of a whole frame, which it does not refer to.
func readFrame(frame []byte) (d store.Draft, at time.Time, err error) {
	if !wholeFrame(frame) {
		return d, at, errFrame
	}
	has, rest := frame[frameHead+frameTime], frame[frameMin:]
	part := func() (p []byte) {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			err = errFrame
			return nil
		}
		p, rest = rest[size:size+int(n)], rest[size+int(n):]
		return p
	}
	d.Key, d.Type, d.Turn, d.Parent = string(part()), string(part()), string(part()), string(part())
	if data := part(); has&frameData != 0 {
		d.Data = append([]byte{}, data...)
	}
	if raw := part(); has&frameRaw != 0 {
		d.Raw = append([]byte{}, raw...)
	}
	return d, frameAt(frame), err
}
