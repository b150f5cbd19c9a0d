// Package access says who may do what: credentials, and the grants that they
// carry. It knows nothing of HTTP; package api asks it at one place, its
// middleware, and puts the Pass into the request's context.
package access
