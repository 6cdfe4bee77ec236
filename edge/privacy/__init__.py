"""What may leave this device: clearance, the rule of labels, and the files that labels are on."""
