// Package sofaregistry has a client of SOFARegistry subscribe through mosn. The server pushes what changes by calling the client over the client's
// connection, and knows a client no longer when that ends.
package sofaregistry
