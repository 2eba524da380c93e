-- What a run changed is a part of its report.
CREATE INDEX changes_by_run ON changes (run, id);
