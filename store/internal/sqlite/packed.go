package sqlite

// #include <stdint.h>
import "C"

import (
	"math"
	"unsafe"

	"ravno/crdt"
)

// The layout of packed rows is described in statement.c.
const (
	headWords = 2
	cellWords = 2
	endOfRows = ^uint64(0)

	// firstWords is the room for the row of a query for one: 4 KiB, more than most rows take.
	firstWords = 512
	// firstColumns is how many columns First has room for; rows of more are allocated.
	firstColumns = 64
	// aheadWords is the room for rows read ahead: 32 KiB, at which the call into C costs nothing
	// beside the rows, and which is not much to have read in vain.
	aheadWords = 4096
	// keptWords is how large a buffer for arguments is kept: 64 KiB.
	keptWords = 8192
)

func address(words []uint64) *C.int64_t { return (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(words))) }

// bytesOf is the memory of words as bytes.
func bytesOf(words []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 8*len(words))
}

// pack writes a row of arguments into a buffer that is valid until the next one.
func (c *Conn) pack(args []crdt.Value) *C.int64_t {
	bytes := 0
	for i := range args {
		bytes += len(args[i].Bytes())
	}
	cells := headWords + cellWords*len(args)
	need := cells + (bytes+7)/8
	words := c.args
	if need > len(words) {
		words = make([]uint64, need)
		if need <= keptWords {
			c.args = words
		}
	}
	words[0], words[1] = uint64(len(args)), uint64(bytes)
	data := bytesOf(words[cells:need])
	for i, v := range args {
		cell := words[headWords+cellWords*i:]
		cell[0] = uint64(v.Kind())
		switch v.Kind() {
		case crdt.Integer:
			cell[1] = uint64(v.Int())
		case crdt.Real:
			cell[1] = math.Float64bits(v.Float())
		case crdt.Text, crdt.Blob:
			cell[1] = uint64(len(v.Bytes()))
			data = data[copy(data, v.Bytes()):]
		case crdt.Null:
		}
	}
	return address(words)
}

// unpack reads one row into values, which are made anew if there is no room in them, and
// returns the words after it. The values of a row share one string.
func unpack(words []uint64, values []crdt.Value) (row []crdt.Value, rest []uint64) {
	count, bytes := int(words[0]), int(words[1])
	cells, rest := words[headWords:headWords+cellWords*count], words[headWords+cellWords*count:]
	text := string(bytesOf(rest[:(bytes+7)/8])[:bytes])
	if cap(values) < count {
		values = make([]crdt.Value, count)
	}
	row = values[:count]
	for i := range row {
		number := cells[cellWords*i+1]
		switch crdt.Kind(cells[cellWords*i]) {
		case crdt.Integer:
			row[i] = crdt.IntegerValue(int64(number))
		case crdt.Real:
			row[i] = crdt.RealValue(math.Float64frombits(number))
		case crdt.Text:
			row[i], text = crdt.TextValue(text[:number]), text[number:]
		case crdt.Blob:
			row[i], text = crdt.BlobValue(text[:number]), text[number:]
		case crdt.Null:
			row[i] = crdt.Value{}
		}
	}
	return row, rest[(bytes+7)/8:]
}

// ahead are rows that have been read and not yet been delivered. A Rows inside another one's
// iteration has its own.
type ahead struct {
	words []uint64
	row   []crdt.Value
}

func (c *Conn) readAhead() *ahead {
	if last := len(c.ahead) - 1; last >= 0 {
		a := c.ahead[last]
		c.ahead = c.ahead[:last]
		return a
	}
	return &ahead{words: make([]uint64, aheadWords)}
}

func (c *Conn) giveBack(a *ahead) { c.ahead = append(c.ahead, a) }
