package rows

func (tx *Tx) FlushTouches() error { return tx.Touched.flush(tx.C) }
