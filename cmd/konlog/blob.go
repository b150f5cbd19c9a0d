package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

func (a *app) blobCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "blob",
		Short: "Store and fetch content that events refer to",
		Long: `Store and fetch content that events refer to: images, files.

Content is kept once and known by its SHA-256. An event refers to it by a member
"sha256" anywhere in its data. What no event refers to is removed after
retention.blob-grace.`,
		Example: `  konlog blob put picture.png
  konlog append s1 --type prompt --data "{\"text\":\"what is this?\",\"images\":[{\"sha256\":\"$(konlog blob put picture.png)\"}]}"
  konlog blob get 9f86d0…0f00a08 -o picture.png`,
	}
	cmd.AddCommand(a.blobPutCommand(), a.blobGetCommand())
	return cmd
}

// blobObject is a blob as it stands on the wire.
type blobObject struct {
	SHA256      string `json:"sha256"`
	Bytes       int64  `json:"bytes"`
	ContentType string `json:"contentType"`
	Created     bool   `json:"created"`
}

func (a *app) blobPutCommand() *cobra.Command {
	var kind string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "put FILE",
		Short: "Store a file, or standard input with -, and print its SHA-256",
		Long: `Store a file, or standard input with -, and print its SHA-256 when it is on
disk. Content that is there already is not stored again.

The content type is that of --type, else what the file's name or its first bytes
say.`,
		Example: `  konlog blob put picture.png
  pg_dump shop | konlog blob put - --type application/sql`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			in, _, err := a.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			return a.putBlob(cmd, cl, in, args[0], kind, asJSON)
		},
	}
	cmd.Flags().StringVarP(&kind, "type", "t", "", "the content type, such as image/png")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the result as a JSON object")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

func (a *app) putBlob(cmd *cobra.Command, cl *client.Client, in io.Reader, name, kind string, asJSON bool) error {
	content := in
	if kind == "" {
		kind = mime.TypeByExtension(filepath.Ext(name))
	}
	if kind == "" {
		var err error
		if kind, content, err = sniff(in); err != nil {
			return failf("%w", err)
		}
	}
	b, created, err := cl.PutBlob(cmd.Context(), kind, content)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.stdout, blobObject{b.SHA256, b.Bytes, b.ContentType, created})
	}
	note := ""
	if !created {
		note = ", was there already"
	}
	a.say("%s, %s%s", roughBytes(b.Bytes), printable(b.ContentType), note)
	_, err = fmt.Fprintln(a.stdout, b.SHA256)
	return err
}

// sniffBytes is how much of content its type is told from.
const sniffBytes = 512

// sniff tells the content type from the first bytes and returns the whole
// content: in itself when it can be wound back, so that it can be sent again.
func sniff(in io.Reader) (kind string, content io.Reader, err error) {
	if seeker, ok := in.(io.Seeker); ok {
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			head, err := io.ReadAll(io.LimitReader(in, sniffBytes))
			if err == nil {
				_, err = seeker.Seek(start, io.SeekStart)
			}
			return http.DetectContentType(head), in, err
		}
	}
	buf := bufio.NewReaderSize(in, sniffBytes)
	head, err := buf.Peek(sniffBytes)
	if err != nil && err != io.EOF {
		return "", nil, err
	}
	return http.DetectContentType(head), buf, nil
}

func (a *app) blobGetCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "get SHA256",
		Short: "Write the content of a blob to a file or standard output",
		Long: `Write the content of a blob to standard output, or with -o to a file, which
appears only when it is complete. The content is checked against the SHA-256.`,
		Example: "  konlog blob get 9f86d0…0f00a08 -o picture.png",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if isTerminal(a.stdout) && !cmd.Flags().Changed("out") {
				// Anybody may have stored it, and a terminal obeys what it shows.
				return usagef("content may be anything, and this is a terminal").because("konlog blob get %s -o FILE; or -o - to have it here", args[0])
			}
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			write := func(w io.Writer) error {
				_, err := cl.CopyBlob(cmd.Context(), w, args[0])
				return blobFailure(err)
			}
			if out != "-" {
				return writeWhole(out, write)
			}
			return write(a.stdout)
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "-", "the file to write; - is standard output")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

// blobFailure gives a missing blob the exit code of what is not found.
func blobFailure(err error) error {
	if !errors.Is(err, store.ErrBlobNotFound) {
		return err
	}
	return (&failure{code: exitNotFound, err: err}).because("konlog blob put FILE stores it; content that no event refers to is removed after retention.blob-grace")
}
