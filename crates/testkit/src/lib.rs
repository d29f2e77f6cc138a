//! Development only: test application, typed callers, scripted upstream.
