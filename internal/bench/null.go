package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// nullName is the hidden command of the reference server.
const nullName = "null-server"

// nullAnswer is as long as the answer to an append.
const nullAnswer = `{"session":"bench-000000-000","first":10000,"last":10000,"duplicate":false}`

// nullCommand runs an HTTP server that reads requests and stores nothing: what
// net/http alone costs on this machine.
func nullCommand() *cobra.Command {
	return &cobra.Command{
		Use:    nullName,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return fmt.Errorf("listen: %w", err)
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "http://%s\n", l.Addr()); err != nil {
				return err
			}
			s := &http.Server{Handler: http.HandlerFunc(answerNothing), ReadHeaderTimeout: 10 * time.Second}
			ctx := cmd.Context()
			go func() {
				<-ctx.Done()
				_ = s.Close() // nothing is left to be told
			}()
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
	}
}

func answerNothing(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, nullAnswer) // a client that left needs no answer
}
