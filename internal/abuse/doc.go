// Package abuse attacks a server over the network and looks at what the
// attacked and the others feel: an ordinary producer and reader go on within a
// bound that is relative to the same server without the attack, memory and
// descriptors stay below what the limits say, and all of it is given back. It
// holds tests only; docs/SECURITY.md names them.
package abuse
