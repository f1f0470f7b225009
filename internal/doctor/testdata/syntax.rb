# Says of each file given what is wrong with its syntax.
ARGV.each do |name|
  RubyVM::InstructionSequence.compile(File.read(name))
rescue SyntaxError => e
  puts "#{name}: #{e.message.tr("\n", ' ')}"
end
