package catalog

import (
	"errors"
	"fmt"
)

// SchemaError says that a change names a table or column this site does not have. Nothing
// was applied; it can be sent again once the application here is upgraded.
type SchemaError struct{ Table, Column string }

func (e *SchemaError) Error() string {
	if e.Column != "" {
		return fmt.Sprintf("column %s of table %s is not in this database. Try: upgrade the application here", e.Column,
			e.Table)
	}
	return fmt.Sprintf("table %s is not in this database, or does not sync here. Try: upgrade the application here",
		e.Table)
}

var ErrKey = errors.New("malformed key")

// ErrEnough ends reading rows.
var ErrEnough = errors.New("enough rows")
