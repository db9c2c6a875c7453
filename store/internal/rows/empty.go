package rows

// empty remembers which of ravno's own tables were empty when a transaction first asked. Most of them are
// empty most of the time, and a table that is empty need not be asked once for each row.
type empty map[string]bool

// Empty reports whether a table of ravno's was empty when the transaction first asked, and nothing was
// put into it since.
func (tx *Tx) Empty(table string) (bool, error) {
	if is, known := tx.empty[table]; known {
		return is, nil
	}
	n, err := tx.SQL.Int("SELECT EXISTS(SELECT 1 FROM " + table + ")")
	if err != nil {
		return false, err
	}
	tx.filled(table, n != 0)
	return n == 0, nil
}

// filled notes whether a table has rows.
func (tx *Tx) filled(table string, has bool) {
	if tx.empty == nil {
		tx.empty = empty{}
	}
	tx.empty[table] = !has
}
