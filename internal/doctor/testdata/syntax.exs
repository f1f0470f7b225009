# Says of each file given what is wrong with its syntax.
for name <- System.argv() do
  case Code.string_to_quoted(File.read!(name)) do
    {:ok, _} -> :ok
    {:error, error} -> IO.puts("#{name}: #{inspect(error)}")
  end
end
