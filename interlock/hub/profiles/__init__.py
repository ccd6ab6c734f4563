"""The six kinds of lab as data: domain.lab_profiles reads them."""
