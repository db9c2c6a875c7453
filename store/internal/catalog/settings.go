package catalog

// SettingError says that a setting names something that is not there.
type SettingError struct{ What, Try string }

func (e *SettingError) Error() string { return e.What + ". Try: " + e.Try }
