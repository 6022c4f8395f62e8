// Package servicekey maps an RPC service to the host name that stands for it in
// routes, certificates and registries, so that plain HTTP rules govern RPC:
//
//	[g-<group or unique id>.][v-<version>.]<interface>
//
// Both prefixes are literal and stand only for what is not the protocol's
// default: com.acme.Hello of version 2.0 in group blue is
// g-blue.v-2-0.com.acme.hello. Providers that are not interchangeable have
// different hosts.
//
// The map folds, because host names are poorer than Java's names: letters become
// lower case, '$' and '_' become '-', and so does '.' within a group or version.
// Services that differ only in these share a host; [Collisions] reports them,
// and whoever publishes services must ask it. A label that cannot stand as
// folded is cut to make room and ends in '-' and 8 hexadecimal digits of the
// SHA-256 of its folded form:
//
//   - one over 63 bytes;
//   - an empty one, or one that begins or ends with '-';
//   - one with another character, which becomes '-' (only in what is shown: the
//     digest is of the label with the character);
//   - the first one of an interface if it begins with g- or v-, which would be
//     taken for a group or a version.
//
// A name over 253 bytes is cut and ends in '-' and the digits of its own SHA-256.
// So the host is a valid DNS name (RFC 1123 section 2.1) for any input, and
// different services have different hosts, folding and 32-bit digests aside.
//
// Codecs call [Append] on their loop for each request, the control plane the
// rest. All functions are pure.
package servicekey
