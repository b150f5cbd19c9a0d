package api

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// registerCertificate shows how long the certificate is good for. While there
// is none yet, as before the first answer of an ACME server, it is NaN.
func (m *metrics) registerCertificate(end func() (time.Time, bool)) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "konlog", Name: "tls_certificate_expiry_seconds", Help: "Seconds until the certificate ends, of several the first; below 0 it has.",
	}, func() float64 {
		at, ok := end()
		if !ok {
			return math.NaN()
		}
		return time.Until(at).Seconds()
	}))
}
