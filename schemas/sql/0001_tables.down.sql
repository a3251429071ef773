DROP TABLE IF EXISTS dead_letters_log;
DROP TABLE IF EXISTS feedback_log;
DROP TABLE IF EXISTS drift_log;
DROP TABLE IF EXISTS alerts_log;
DROP TABLE IF EXISTS events_log;
