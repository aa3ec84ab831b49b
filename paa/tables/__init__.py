"""From records to tables that can be published: statistics, layout, formats. No network and no Hydra below here."""
