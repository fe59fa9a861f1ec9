-- The panel that shows the alert: `<uid>/<panel id>`.
ALTER TABLE incidents ADD COLUMN dashboard TEXT NOT NULL DEFAULT '';
