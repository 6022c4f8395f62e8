// Package yamlpb reads YAML and JSON text into protobuf messages, and says of
// every error in which file, line and field it is.
//
// It exists because the usual way, YAML to JSON to protojson, loses both line and
// path, and decides what a plain scalar means differently from Envoy. Here a
// Document keeps its nodes: Decode fills a message from them, Line finds the place
// of a path later, when a value that could be read turns out to be wrong.
//
// The names of fields are those of the proto or of its JSON mapping. Plain scalars
// are read as Envoy reads them (source/common/protobuf/yaml_utility.cc): a word of
// the bool kind (true, yes, on, y and their capitals) is a bool, a whole number
// of 32 bits a number, everything else a string, from which numbers may be read
// in turn.
//
// Input is bounded in size, depth and in what aliases expand to. Everything here
// is called while configuration is loaded, off the event loops, and a Document
// belongs to one goroutine.
package yamlpb
