"""The enrolment desk: cards on a reader and the hub's API go in; genuine badges of members come out."""
