package jpegscan

// Warning is a deviation from ITU-T T.81 that loses no block of the photograph. A file with
// a Warning is whole.
type Warning string

// The warnings, in the order in which the warnings of a photograph are listed.
const (
	Padding        Warning = "PADDING"         // padding bits before a marker are not ones (F.1.2.3)
	SpareBytes     Warning = "SPARE_BYTES"     // bytes before RST or EOI belong to no block
	NoEOI          Warning = "NO_EOI"          // the file ends after the last block, without EOI
	StandardTables Warning = "STANDARD_TABLES" // without DHT: the tables of K.3 are used
)

// warnings is a set of warnings.
type warnings struct {
	padding, spareBytes, noEOI, standardTables bool
}

// list returns the warnings in the order of the constants, or nil.
func (w warnings) list() (list []Warning) {
	for _, each := range []struct {
		in bool
		Warning
	}{
		{w.padding, Padding},
		{w.spareBytes, SpareBytes},
		{w.noEOI, NoEOI},
		{w.standardTables, StandardTables},
	} {
		if each.in {
			list = append(list, each.Warning)
		}
	}
	return list
}
