// Package notice foresees what will break, notices who needs somebody, and tells
// them once: at 30, 7 and 1 day, on failing and on recovering.
//
// It carries nothing itself (courier does) and mends nothing.
package notice
