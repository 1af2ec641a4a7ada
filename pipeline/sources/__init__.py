"""Where pictures come from: files, folders, cameras and network streams behind one protocol."""
