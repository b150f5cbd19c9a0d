package bench

import (
	"encoding/binary"
	"errors"
)

// The kinds of WebSocket frames.
const (
	opContinuation = 0x0
	opText         = 0x1
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// maskKey masks every frame. It is constant so that frames can be prepared;
// the server's work does not depend on its value.
var maskKey = [4]byte{0x4b, 0x6f, 0x6e, 0x21}

// appendClientFrame appends a whole frame as a client sends it, and returns
// where its payload begins.
func appendClientFrame(dst []byte, op byte, payload []byte) (frame []byte, start int) {
	dst = append(dst, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	dst = append(dst, maskKey[:]...)
	start = len(dst)
	dst = append(dst, payload...)
	for i := range payload {
		dst[start+i] ^= maskKey[i&3]
	}
	return dst, start
}

// serverFrame is a frame as a server sends it.
type serverFrame struct {
	op      byte
	final   bool
	payload []byte
}

var (
	errMasked   = errors.New("the server sent a masked frame")
	errReserved = errors.New("the server sent a frame with reserved bits set")
)

// parseFrame reads one frame. size 0 means that more bytes are needed.
func parseFrame(b []byte) (f serverFrame, size int, err error) {
	if len(b) < 2 {
		return f, 0, nil
	}
	if b[0]&0x70 != 0 {
		return f, 0, errReserved
	}
	if b[1]&0x80 != 0 {
		return f, 0, errMasked
	}
	f.op, f.final = b[0]&0x0f, b[0]&0x80 != 0
	start, length := 2, uint64(b[1])
	switch length {
	case 126:
		if start = 4; len(b) < start {
			return f, 0, nil
		}
		length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if start = 10; len(b) < start {
			return f, 0, nil
		}
		length = binary.BigEndian.Uint64(b[2:])
	}
	if length > wireBytesMax {
		return f, 0, errors.New("the server sent a frame beyond all bounds")
	}
	if size = start + int(length); len(b) < size {
		return f, 0, nil
	}
	f.payload = b[start:size]
	return f, size, nil
}
