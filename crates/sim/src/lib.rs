//! A disk in memory that records, fails and loses power as told.
