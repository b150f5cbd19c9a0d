package faultvfs

import "modernc.org/libc"

// The methods that only pass on.

func fileRead(tls *libc.TLS, f, buf uintptr, n int32, off int64) int32 {
	return fn[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](innerMethods(f).FxRead)(tls, inner(f), buf, n, off)
}

func fileSize(tls *libc.TLS, f, size uintptr) int32 {
	return fn[func(*libc.TLS, uintptr, uintptr) int32](innerMethods(f).FxFileSize)(tls, inner(f), size)
}

func fileLock(tls *libc.TLS, f uintptr, level int32) int32 {
	return fn[func(*libc.TLS, uintptr, int32) int32](innerMethods(f).FxLock)(tls, inner(f), level)
}

func fileUnlock(tls *libc.TLS, f uintptr, level int32) int32 {
	return fn[func(*libc.TLS, uintptr, int32) int32](innerMethods(f).FxUnlock)(tls, inner(f), level)
}

func fileCheckReservedLock(tls *libc.TLS, f, out uintptr) int32 {
	return fn[func(*libc.TLS, uintptr, uintptr) int32](innerMethods(f).FxCheckReservedLock)(tls, inner(f), out)
}

func fileControl(tls *libc.TLS, f uintptr, op int32, arg uintptr) int32 {
	return fn[func(*libc.TLS, uintptr, int32, uintptr) int32](innerMethods(f).FxFileControl)(tls, inner(f), op, arg)
}

func fileSectorSize(tls *libc.TLS, f uintptr) int32 {
	return fn[func(*libc.TLS, uintptr) int32](innerMethods(f).FxSectorSize)(tls, inner(f))
}

func fileDeviceCharacteristics(tls *libc.TLS, f uintptr) int32 {
	return fn[func(*libc.TLS, uintptr) int32](innerMethods(f).FxDeviceCharacteristics)(tls, inner(f))
}

func fileShmMap(tls *libc.TLS, f uintptr, region, size, extend int32, out uintptr) int32 {
	return fn[func(*libc.TLS, uintptr, int32, int32, int32, uintptr) int32](innerMethods(f).FxShmMap)(tls, inner(f), region, size, extend, out)
}

func fileShmLock(tls *libc.TLS, f uintptr, offset, n, flags int32) int32 {
	return fn[func(*libc.TLS, uintptr, int32, int32, int32) int32](innerMethods(f).FxShmLock)(tls, inner(f), offset, n, flags)
}

func fileShmBarrier(tls *libc.TLS, f uintptr) {
	fn[func(*libc.TLS, uintptr)](innerMethods(f).FxShmBarrier)(tls, inner(f))
}

func fileShmUnmap(tls *libc.TLS, f uintptr, remove int32) int32 {
	return fn[func(*libc.TLS, uintptr, int32) int32](innerMethods(f).FxShmUnmap)(tls, inner(f), remove)
}

func fileFetch(tls *libc.TLS, f uintptr, off int64, n int32, out uintptr) int32 {
	return fn[func(*libc.TLS, uintptr, int64, int32, uintptr) int32](innerMethods(f).FxFetch)(tls, inner(f), off, n, out)
}

func fileUnfetch(tls *libc.TLS, f uintptr, off int64, p uintptr) int32 {
	return fn[func(*libc.TLS, uintptr, int64, uintptr) int32](innerMethods(f).FxUnfetch)(tls, inner(f), off, p)
}
