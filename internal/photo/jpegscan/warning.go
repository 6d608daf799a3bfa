package jpegscan

// Warning is a deviation from ITU-T T.81 that loses no block of the photograph. A file with
// a Warning is whole.
type Warning string

// The warnings, in the order in which a Photo lists its warnings.
const (
	Padding        Warning = "PADDING"         // padding bits before a marker are not ones (F.1.2.3)
	SpareBytes     Warning = "SPARE_BYTES"     // bytes before RST or EOI belong to no block
	NoEOI          Warning = "NO_EOI"          // the file ends after the last block, without EOI
	StandardTables Warning = "STANDARD_TABLES" // without DHT: the tables of K.3 are used
)
