-- Who may read what. Applied every time; needs a user that may grant.
CREATE ROLE IF NOT EXISTS zenei_reader{on_cluster};

GRANT{on_cluster} SELECT ON {db}.record, SELECT ON {db}.dead_letter, SELECT ON {db}.gap, SELECT ON {db}.cohort_hour, SELECT ON {db}.anomaly, SELECT ON {db}.decision, SELECT ON {db}.incident_event, SELECT ON {db}.registry, SELECT ON {db}.shipment TO zenei_reader;

CREATE ROLE IF NOT EXISTS zenei_private{on_cluster};

GRANT{on_cluster} SELECT ON {db}.operation, SELECT ON {db}.motor_profile, SELECT ON {db}.inquiry, SELECT ON {db}.feed TO zenei_private;
